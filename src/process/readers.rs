//! Who reads a log, and who has a right to go on reading it.
//!
//! A reader that a pause took away leaves its place *held*: the ring keeps what is behind its cursor, within the
//! same policy as for a slow reader, and whoever comes next without saying where to start goes on there. So a
//! client that knows nothing of offsets and connects again after a resume gets every byte once.

use tokio::time::Instant;

/// Holds the places of one log; a place is named by its index.
#[derive(Debug, Default)]
pub(super) struct Readers {
    places: Vec<Option<Reader>>,
    /// Counts held places, so that the oldest is known.
    holds: u64,
}

#[derive(Debug)]
pub(super) struct Reader {
    /// Offset of the next byte that it gets.
    pub(super) cursor: u64,
    /// When it last took something.
    pub(super) moved: Instant,
    /// It was too slow and gets nothing more.
    pub(super) cut: bool,
    /// Nobody reads: the place is kept for one that comes back. The count orders such places.
    held: Option<u64>,
}

impl Readers {
    /// Gives a new reader a place.
    pub(super) fn add(&mut self, cursor: u64) -> usize {
        let reader = Some(Reader { cursor, moved: Instant::now(), cut: false, held: None });
        match self.places.iter().position(Option::is_none) {
            Some(free) => {
                self.places[free] = reader;
                free
            }
            None => {
                self.places.push(reader);
                self.places.len() - 1
            }
        }
    }

    pub(super) fn get(&mut self, place: usize) -> Option<&mut Reader> {
        self.places.get_mut(place)?.as_mut()
    }

    /// Frees a place.
    pub(super) fn remove(&mut self, place: usize) {
        if let Some(reader) = self.places.get_mut(place) {
            *reader = None;
        }
    }

    /// Keeps a place for one that comes back.
    pub(super) fn hold(&mut self, place: usize) {
        self.holds += 1;
        let count = self.holds;
        if let Some(reader) = self.get(place) {
            reader.held = Some(count);
            reader.moved = Instant::now();
        }
    }

    /// Gives the place that has been held longest to a new reader: its index and cursor.
    pub(super) fn take_held(&mut self) -> Option<(usize, u64)> {
        let held = |reader: &Option<Reader>| reader.as_ref().and_then(|reader| reader.held);
        let oldest = (0..self.places.len()).filter(|&place| held(&self.places[place]).is_some());
        let oldest = oldest.min_by_key(|&place| held(&self.places[place]))?;
        let reader = self.get(oldest)?;
        reader.held = None;
        reader.moved = Instant::now();
        Some((oldest, reader.cursor))
    }

    /// Frees the held place at `offset` or nearest below it: its reader has come back and said where it stands.
    pub(super) fn free_held(&mut self, offset: u64) {
        let cursor = |reader: &Option<Reader>| {
            reader
                .as_ref()
                .filter(|reader| reader.held.is_some() && reader.cursor <= offset)
                .map(|reader| reader.cursor)
        };
        let below = (0..self.places.len()).filter(|&place| cursor(&self.places[place]).is_some());
        if let Some(nearest) = below.max_by_key(|&place| cursor(&self.places[place])) {
            self.places[nearest] = None;
        }
    }

    /// Frees every held place whose cursor is at `from` or behind it.
    pub(super) fn free_all_held(&mut self, from: u64) {
        for reader in &mut self.places {
            if reader.as_ref().is_some_and(|reader| reader.held.is_some() && reader.cursor >= from) {
                *reader = None;
            }
        }
    }

    pub(super) fn has_held(&self) -> bool {
        self.places.iter().flatten().any(|reader| reader.held.is_some())
    }

    /// Says whether somebody reads now.
    pub(super) fn is_followed(&self) -> bool {
        self.places.iter().flatten().any(|reader| !reader.cut && reader.held.is_none())
    }

    /// Says whether somebody reads, or has a right to.
    pub(super) fn has_any(&self) -> bool {
        self.places.iter().flatten().any(|reader| !reader.cut)
    }

    /// Gives the offset of the reader that has got furthest.
    pub(super) fn furthest(&self) -> u64 {
        let cursors = self.places.iter().flatten().filter(|reader| !reader.cut).map(|reader| reader.cursor);
        cursors.max().unwrap_or(0)
    }

    /// Says whether somebody would lose what is below `floor`.
    pub(super) fn needs(&self, floor: u64) -> bool {
        self.places.iter().flatten().any(|reader| reader.is_behind(floor))
    }

    /// Says whether somebody who reads needs nothing below `floor`, and so waits for those who do.
    pub(super) fn someone_waits(&self, floor: u64) -> bool {
        self.places.iter().flatten().any(|reader| !reader.cut && reader.held.is_none() && reader.cursor >= floor)
    }

    /// Cuts off everybody below `floor` whose time, told by `due`, is up; says when the next one's is.
    pub(super) fn cut_late(&mut self, floor: u64, due: impl Fn(&Reader) -> Instant) -> Option<Instant> {
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        for place in &mut self.places {
            let Some(reader) = place.as_mut().filter(|reader| reader.is_behind(floor)) else { continue };
            let due = due(reader);
            if due > now {
                next = Some(next.map_or(due, |next| next.min(due)));
            } else if reader.held.is_some() {
                *place = None;
            } else {
                reader.cut = true;
            }
        }
        next
    }
}

impl Reader {
    fn is_behind(&self, floor: u64) -> bool {
        !self.cut && self.cursor < floor
    }
}
