//! The program that chooses who takes a connection from outside.
//!
//! It runs before the kernel looks for a listener, for each packet that belongs to no connection yet
//! (`BPF_PROG_TYPE_SK_LOOKUP`). Where it chooses nobody, the kernel goes on as if there were no program.
//!
//! Who listens on the address that was called, or on all of them, is chosen by the kernel. On `::` that counts for
//! IPv6 alone: such a server may not take IPv4, which the address does not tell, and where it does, nobody else can
//! have the port on loopback (but for servers that share their port on purpose, `SO_REUSEPORT`).

use std::os::fd::AsFd;

use super::assembler::{Assembler, Helper, Is, Label, Register};
use super::layout::{AF_INET, AF_INET6, LOCALHOST_V6, MAPPED, ON_V6, OUTSIDE_KEY, SIBLING_SHIFT, SIBLINGS};
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
const ADDRESS: i16 = -(OUTSIDE_KEY as i16);
const SOCKET: i16 = ADDRESS - 4;

/// Writes the program.
pub(super) fn program(maps: &Maps) -> Vec<Instruction> {
    let mut to = Assembler::default();
    let (v4, out) = (to.label(), to.label());
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
    everywhere(&mut to, 0);
    unless_taken(&mut to, maps, out);
    assign(&mut to, maps, ON_V6, out);
    to.jump(out);

    to.place(v4);
    called_v4(&mut to, out);
    unless_taken(&mut to, maps, out);
    everywhere(&mut to, MAPPED);
    unless_taken(&mut to, maps, out);
    assign(&mut to, maps, 0, out);
    assign(&mut to, maps, ON_V6, out);

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

/// Writes the address that stands for all of a family to the stack.
fn everywhere(to: &mut Assembler, third: i32) {
    to.store_value(Frame, ADDRESS, 0);
    to.store_value(Frame, ADDRESS + 4, 0);
    to.store_value(Frame, ADDRESS + 8, third);
    to.store_value(Frame, ADDRESS + 12, 0);
}

/// Leaves it to the kernel if somebody listens on the address on the stack.
fn unless_taken(to: &mut Assembler, maps: &Maps, out: Label) {
    to.set_map(R1, maps.outside.as_fd());
    to.copy(R2, Frame);
    to.add(R2, ADDRESS.into());
    to.call(Helper::MapLookup);
    to.jump_if_wide(R0, Is::Not, 0, out);
}

/// Names the first socket of a family that can take the connection; one that is for IPv6 alone cannot take IPv4, and
/// says so when it is named.
fn assign(to: &mut Assembler, maps: &Maps, family: i32, out: Label) {
    for sibling in 0..SIBLINGS {
        let next = to.label();
        to.copy(R0, R8);
        to.or(R0, family | sibling << SIBLING_SHIFT);
        to.store(Frame, SOCKET, R0);
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
}
