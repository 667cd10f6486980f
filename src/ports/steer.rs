//! The program that chooses who takes a connection from outside.
//!
//! It runs before the kernel looks for a listener, for each packet that belongs to no connection yet
//! (`BPF_PROG_TYPE_SK_LOOKUP`). Where it chooses nobody, the kernel goes on as if there were no program.
//!
//! Who listens on the address that was called, or on all of them, is chosen by the kernel. On `::` that counts for
//! IPv6 alone: such a server may not take IPv4, which the address does not tell, and where it does, nobody else can
//! have the port on loopback (but for servers that share their port on purpose, `SO_REUSEPORT`).
//!
//! A socket that is bound to `::1` counts as one for IPv6 alone, whatever it was told (`__inet6_bind` in the kernel),
//! so it cannot take IPv4. The relay can, and answers for all who cannot be handed a connection.

use std::os::fd::AsFd;

use super::assembler::{Assembler, Helper, Is, Label, Register};
use super::layout::{
    ADDRESS_KEY, AF_INET, AF_INET6, LOCALHOST_V4, LOCALHOST_V6, MAPPED, ON_V6, RELAY, SIBLING_SHIFT, SIBLINGS,
};
use super::maps::Maps;
use crate::sys::bpf::Instruction;

use Register::{Frame, R0, R1, R2, R3, R6, R7, R8, R9};

/// Fields of `struct bpf_sk_lookup` (linux/bpf.h).
const FAMILY: i16 = 8;
const PROTOCOL: i16 = 12;
const LOCAL_IP4: i16 = 40;
const LOCAL_IP6: i16 = 44;
const LOCAL_PORT: i16 = 60;
/// `IPPROTO_TCP`.
const TCP: i32 = 6;
/// `SK_PASS`: go on, with the socket that was assigned if one was.
const PASS: i32 = 1;
/// The first octet of loopback addresses.
const NETWORK_MASK: i32 = i32::from_ne_bytes([0xff, 0, 0, 0]);
const NETWORK: i32 = i32::from_ne_bytes([127, 0, 0, 0]);

/// Where things stand on the stack: five words of an address and its port, then the key of a socket.
const ADDRESS: i16 = -(ADDRESS_KEY as i16);
const SOCKET: i16 = ADDRESS - 4;

/// Writes the program.
pub(super) fn program(maps: &Maps) -> Vec<Instruction> {
    let mut to = Assembler::default();
    let (v4, others, relay, out) = (to.label(), to.label(), to.label(), to.label());
    to.copy(R6, R1);
    to.load(R0, R6, PROTOCOL);
    to.jump_if(R0, Is::Not, TCP, out);
    to.load(R8, R6, LOCAL_PORT);
    to.store(Frame, ADDRESS + 16, R8);
    to.load(R0, R6, FAMILY);
    to.jump_if(R0, Is::Equal, AF_INET, v4);
    to.jump_if(R0, Is::Not, AF_INET6, out);

    called_v6(&mut to, out);
    unless_taken(&mut to, maps, out);
    instead(&mut to, 0, 0);
    unless_taken(&mut to, maps, out);
    for sibling in 0..SIBLINGS {
        assign(&mut to, maps, Some(ON_V6 | sibling << SIBLING_SHIFT), out);
    }
    to.jump(others);

    to.place(v4);
    called_v4(&mut to, out);
    unless_taken(&mut to, maps, out);
    instead(&mut to, MAPPED, 0);
    unless_taken(&mut to, maps, out);
    for sibling in 0..SIBLINGS {
        assign(&mut to, maps, Some(sibling << SIBLING_SHIFT), out);
    }

    to.place(others);
    instead(&mut to, MAPPED, LOCALHOST_V4);
    unless_taken(&mut to, maps, relay);
    instead(&mut to, 0, LOCALHOST_V6);
    unless_taken(&mut to, maps, relay);
    to.jump(out);
    to.place(relay);
    assign(&mut to, maps, None, out);

    to.place(out);
    to.set(R0, PASS);
    to.exit();
    to.finish()
}

/// Writes the address that was called to the stack; `::1` is nothing for us.
fn called_v6(to: &mut Assembler, out: Label) {
    let far = to.label();
    for word in 0..4 {
        to.load(R0, R6, LOCAL_IP6 + 4 * word);
        to.store(Frame, ADDRESS + 4 * word, R0);
    }
    for word in 0..3 {
        to.load(R0, Frame, ADDRESS + 4 * word);
        to.jump_if(R0, Is::Not, 0, far);
    }
    to.load(R0, Frame, ADDRESS + 12);
    to.jump_if(R0, Is::Equal, LOCALHOST_V6, out);
    to.place(far);
}

/// Writes the address that was called to the stack; `127.0.0.0/8` is nothing for us.
fn called_v4(to: &mut Assembler, out: Label) {
    to.load(R1, R6, LOCAL_IP4);
    to.copy(R0, R1);
    to.and(R0, NETWORK_MASK);
    to.jump_if(R0, Is::Equal, NETWORK, out);
    to.store_value(Frame, ADDRESS, 0);
    to.store_value(Frame, ADDRESS + 4, 0);
    to.store_value(Frame, ADDRESS + 8, MAPPED);
    to.store(Frame, ADDRESS + 12, R1);
}

/// Writes an address that is zero but for its end to the stack; without an end it stands for all of a family.
fn instead(to: &mut Assembler, third: i32, last: i32) {
    to.store_value(Frame, ADDRESS, 0);
    to.store_value(Frame, ADDRESS + 4, 0);
    to.store_value(Frame, ADDRESS + 8, third);
    to.store_value(Frame, ADDRESS + 12, last);
}

/// Goes on unless somebody listens on the address on the stack.
fn unless_taken(to: &mut Assembler, maps: &Maps, taken: Label) {
    to.set_map(R1, maps.servers.as_fd());
    to.copy(R2, Frame);
    to.add(R2, ADDRESS.into());
    to.call(Helper::MapLookup);
    to.jump_if_wide(R0, Is::Not, 0, taken);
}

/// Hands the connection to a sibling on the port that was called, or to the relay, and is done; goes on where there is
/// no such socket.
fn assign(to: &mut Assembler, maps: &Maps, sibling: Option<i32>, out: Label) {
    let next = to.label();
    match sibling {
        Some(bits) => {
            to.copy(R0, R8);
            to.or(R0, bits);
            to.store(Frame, SOCKET, R0);
        }
        None => to.store_value(Frame, SOCKET, RELAY),
    }
    to.set_map(R1, maps.inside.as_fd());
    to.copy(R2, Frame);
    to.add(R2, SOCKET.into());
    to.call(Helper::MapLookup);
    to.jump_if_wide(R0, Is::Equal, 0, next);
    to.copy(R7, R0);
    to.copy(R1, R6);
    to.copy(R2, R7);
    to.set(R3, 0);
    to.call(Helper::SkAssign);
    to.copy(R9, R0);
    to.copy(R1, R7);
    to.call(Helper::SkRelease);
    to.jump_if_wide(R9, Is::Equal, 0, out);
    to.place(next);
}
