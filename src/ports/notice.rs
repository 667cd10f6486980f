//! The program that is told when a server begins to listen, and when one ends.
//!
//! It runs inside `listen(2)`, for every TCP socket of the guest (`BPF_PROG_TYPE_SOCK_OPS`).
//!
//! A socket on a loopback address goes into the map of sockets, which it leaves by itself. Of others only the address
//! is counted: a socket in a map gets other functions and a field of its own taken, which the kernel's own listeners
//! (those of `lockd` for a volume) do not expect, and which is nothing to do to a server that needs no help. Their
//! end is told to us because we ask for it socket by socket; their connections inherit the wish, and are passed over.

use super::assembler::{Assembler, Helper, Is, Label, Register};
use super::layout::{
    AF_INET, AF_INET6, LOCALHOST_V4, LOCALHOST_V6, MAPPED, ON_V6, OUTSIDE_KEY, SIBLING_SHIFT, SIBLINGS,
};
use super::maps::Maps;
use crate::sys::bpf::Instruction;
use std::os::fd::AsFd;

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
const ADDRESS: i16 = -(OUTSIDE_KEY as i16);
const SOCKET: i16 = ADDRESS - 4;
const ONE: i16 = SOCKET - 4;

/// Writes the program; it looks at sockets of one network namespace, known by its cookie.
pub(super) fn program(maps: &Maps, namespace: u64) -> Vec<Instruction> {
    let mut to = Assembler::default();
    let (known, inside, outside, out) = (to.label(), to.label(), to.label(), to.label());
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
    sort(&mut to, inside, outside);
    keep(&mut to, maps, inside, out);
    tally(&mut to, maps, outside, out);
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

/// Jumps to where a socket of this address is treated; R9 is the family's bit of an inner one.
fn sort(to: &mut Assembler, inside: Label, outside: Label) {
    let v6 = to.label();
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
}

/// Puts a loopback socket into the first free place, or the last one; what else the map answers (full, a kind of
/// socket that it does not take) leaves the server where the guest alone reaches it.
fn keep(to: &mut Assembler, maps: &Maps, inside: Label, out: Label) {
    to.place(inside);
    to.jump_if(R7, Is::Equal, 0, out);
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
    to.jump(out);
}

/// Counts a socket that needs no help, and wishes to be told of its end; or takes one off.
fn tally(to: &mut Assembler, maps: &Maps, outside: Label, out: Label) {
    let (ends, more, wish, less) = (to.label(), to.label(), to.label(), to.label());
    let map_and_key = |to: &mut Assembler| {
        to.set_map(R1, maps.outside.as_fd());
        to.copy(R2, Frame);
        to.add(R2, ADDRESS.into());
    };
    to.place(outside);
    map_and_key(to);
    to.call(Helper::MapLookup);
    to.jump_if(R7, Is::Equal, 0, ends);
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
    to.jump(out);
    to.place(ends);
    to.jump_if_wide(R0, Is::Equal, 0, out);
    to.load(R1, R0, 0);
    to.jump_if(R1, Is::Greater, 1, less);
    map_and_key(to);
    to.call(Helper::MapDelete);
    to.jump(out);
    to.place(less);
    to.set(R1, -1);
    to.count(R0, R1);
}
