//! Two networks with a cable between them: servers in one, clients in the other.

mod first;
mod life;
mod reach;
mod relayed;
mod stage;
