//! The program that is told when a server begins to listen, and when one ends.
//!
//! It runs inside `listen(2)`, for every TCP socket of the guest (`BPF_PROG_TYPE_SOCK_OPS`).
//!
//! Every listener is counted by its address. Its end is told to us because we wish for it, socket by socket; its
//! connections inherit the wish, and are passed over. One on a loopback address also goes into the map of sockets,
//! which it leaves by itself. Others do not: a socket in a map has other functions and a field taken, which is nothing
//! to do to a server that needs no help, and which the kernel's own listeners (`lockd` for a volume) do not expect.

use std::os::fd::AsFd;

use super::assembler::{Assembler, Helper, Is, Label, Register};
use super::layout::{
    ADDRESS_KEY, AF_INET, AF_INET6, LOCALHOST_V4, LOCALHOST_V6, MAPPED, ON_V6, SIBLING_SHIFT, SIBLINGS,
};
use super::maps::Maps;
use crate::sys::bpf::Instruction;

use Register::{Frame, R0, R1, R2, R3, R4, R6, R7, R8, R9};

/// Fields of `struct bpf_sock_ops` (linux/bpf.h): what happened, its first argument, addresses, wishes.
const OP: i16 = 0;
const ARGUMENT: i16 = 4;
const FAMILY: i16 = 20;
const LOCAL_IP4: i16 = 28;
const LOCAL_IP6: i16 = 48;
const LOCAL_PORT: i16 = 68;
const WISHES: i16 = 84;
/// `BPF_SOCK_OPS_STATE_CB`: a socket whose state we wished to know changes it; the argument is the old one.
const STATE_CHANGES: i32 = 10;
/// `BPF_SOCK_OPS_TCP_LISTEN_CB`: a socket listens from now on; told without a wish.
const LISTENS: i32 = 11;
/// `BPF_SOCK_OPS_STATE_CB_FLAG`.
const WISH_FOR_STATES: i32 = 1 << 2;
/// `TCP_LISTEN`.
const LISTENING: i32 = 10;
/// `BPF_ANY` and `BPF_NOEXIST`.
const REPLACE: i32 = 0;
const ONLY_MAKE: i32 = 1;
/// What an update answers that was only to make.
const EEXIST: i32 = -17;

/// Where things stand on the stack: five words of an address and its port, then one word each.
const ADDRESS: i16 = -(ADDRESS_KEY as i16);
const SOCKET: i16 = ADDRESS - 4;
const ONE: i16 = SOCKET - 4;

/// Writes the program; it looks at sockets of one network namespace, known by its cookie.
pub(super) fn program(maps: &Maps, namespace: u64) -> Vec<Instruction> {
    let mut to = Assembler::default();
    let (known, out) = (to.label(), to.label());
    to.copy(R6, R1);
    to.load(R0, R6, OP);
    // R7: begins (1) or ends (0).
    to.set(R7, 1);
    to.jump_if(R0, Is::Equal, LISTENS, known);
    to.jump_if(R0, Is::Not, STATE_CHANGES, out);
    to.load(R0, R6, ARGUMENT);
    to.jump_if(R0, Is::Not, LISTENING, out);
    to.set(R7, 0);
    to.place(known);
    to.copy(R1, R6);
    to.call(Helper::GetNetnsCookie);
    to.set_wide(R1, namespace);
    to.jump_if_other(R0, R1, out);
    address(&mut to, out);
    tally(&mut to, maps, out);
    sort(&mut to, out);
    keep(&mut to, maps, out);
    to.place(out);
    to.set(R0, 1);
    to.exit();
    to.finish()
}

/// Writes the address and the port to the stack; the port is in R8 then.
fn address(to: &mut Assembler, out: Label) {
    let (v4, port) = (to.label(), to.label());
    to.load(R0, R6, FAMILY);
    to.jump_if(R0, Is::Equal, AF_INET, v4);
    to.jump_if(R0, Is::Not, AF_INET6, out);
    for word in 0..4 {
        to.load(R0, R6, LOCAL_IP6 + 4 * word);
        to.store(Frame, ADDRESS + 4 * word, R0);
    }
    to.jump(port);
    to.place(v4);
    to.store_value(Frame, ADDRESS, 0);
    to.store_value(Frame, ADDRESS + 4, 0);
    to.store_value(Frame, ADDRESS + 8, MAPPED);
    to.load(R0, R6, LOCAL_IP4);
    to.store(Frame, ADDRESS + 12, R0);
    to.place(port);
    to.load(R8, R6, LOCAL_PORT);
    to.store(Frame, ADDRESS + 16, R8);
}

/// Goes on with loopback addresses only; R9 is the family's bit then.
fn sort(to: &mut Assembler, outside: Label) {
    let (v6, inside) = (to.label(), to.label());
    for word in [0, 4] {
        to.load(R0, Frame, ADDRESS + word);
        to.jump_if(R0, Is::Not, 0, outside);
    }
    to.load(R0, Frame, ADDRESS + 8);
    to.load(R1, Frame, ADDRESS + 12);
    to.jump_if(R0, Is::Equal, 0, v6);
    to.jump_if(R0, Is::Not, MAPPED, outside);
    to.set(R9, 0);
    to.jump_if(R1, Is::Equal, LOCALHOST_V4, inside);
    to.jump(outside);
    to.place(v6);
    to.set(R9, ON_V6);
    to.jump_if(R1, Is::Not, LOCALHOST_V6, outside);
    to.place(inside);
}

/// Puts a loopback socket into the first free place, or the last one. What the map does not take (multipath TCP, as Go
/// listens where the kernel can; one more than there is room for) is left to the relay.
fn keep(to: &mut Assembler, maps: &Maps, out: Label) {
    to.or_register(R8, R9);
    for sibling in 0..SIBLINGS {
        to.copy(R0, R8);
        to.or(R0, sibling << SIBLING_SHIFT);
        to.store(Frame, SOCKET, R0);
        to.copy(R1, R6);
        to.set_map(R2, maps.inside.as_fd());
        to.copy(R3, Frame);
        to.add(R3, SOCKET.into());
        to.set(R4, if sibling + 1 < SIBLINGS { ONLY_MAKE } else { REPLACE });
        to.call(Helper::SockHashUpdate);
        to.jump_if_wide(R0, Is::Not, EEXIST, out);
    }
}

/// Counts a socket, and wishes to be told of its end; or takes one off, and is done.
fn tally(to: &mut Assembler, maps: &Maps, out: Label) {
    let (begins, more, wish, less) = (to.label(), to.label(), to.label(), to.label());
    let map_and_key = |to: &mut Assembler| {
        to.set_map(R1, maps.servers.as_fd());
        to.copy(R2, Frame);
        to.add(R2, ADDRESS.into());
    };
    map_and_key(to);
    to.call(Helper::MapLookup);
    to.jump_if(R7, Is::Equal, 1, begins);
    to.jump_if_wide(R0, Is::Equal, 0, out);
    to.load(R1, R0, 0);
    to.jump_if(R1, Is::Greater, 1, less);
    map_and_key(to);
    to.call(Helper::MapDelete);
    to.jump(out);
    to.place(less);
    to.set(R1, -1);
    to.count(R0, R1);
    to.jump(out);
    to.place(begins);
    to.jump_if_wide(R0, Is::Not, 0, more);
    to.store_value(Frame, ONE, 1);
    map_and_key(to);
    to.copy(R3, Frame);
    to.add(R3, ONE.into());
    to.set(R4, REPLACE);
    to.call(Helper::MapUpdate);
    to.jump(wish);
    to.place(more);
    to.set(R1, 1);
    to.count(R0, R1);
    to.place(wish);
    to.copy(R1, R6);
    to.load(R2, R6, WISHES);
    to.or(R2, WISH_FOR_STATES);
    to.call(Helper::SockOpsFlagsSet);
}
