//! Writing programs for the kernel, instruction by instruction.
//!
//! The two programs here are short and have no loops, so this is all the compiler they need; what it writes is checked
//! by the kernel's verifier before it runs.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::sys::bpf::Instruction;

/// Names a register: R0 takes results, R1 to R5 arguments (lost in a call), R6 to R9 stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    R6 = 6,
    R7,
    R8,
    R9,
    /// The end of the stack, of which 512 bytes before it are ours.
    Frame,
}

/// Names a function of the kernel (linux/bpf.h, `BPF_FUNC_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Helper {
    MapLookup = 1,
    MapUpdate = 2,
    MapDelete = 3,
    SockOpsFlagsSet = 59,
    SockHashUpdate = 70,
    SkRelease = 86,
    GetNetnsCookie = 122,
    SkAssign = 124,
}

/// Says what two values must be to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Equal = 0x10,
    Greater = 0x20,
    Not = 0x50,
}

/// A place in the program to jump to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label(usize);

/// Collects instructions; jumps go forward only.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    code: Vec<Instruction>,
    /// Where each label is, in instructions; `usize::MAX` until it is placed.
    labels: Vec<usize>,
    jumps: Vec<(usize, Label)>,
}

/// The source register of a wide constant that is a map's descriptor (`BPF_PSEUDO_MAP_FD`).
const MAP: u8 = 1;

impl Assembler {
    /// Makes a label that is still to be placed.
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(usize::MAX);
        Label(self.labels.len() - 1)
    }

    /// Puts a label before the next instruction.
    pub(super) fn place(&mut self, label: Label) {
        self.labels[label.0] = self.code.len();
    }

    /// `to = value`.
    pub(super) fn set(&mut self, to: Register, value: i32) {
        self.push(0xb7, to as u8, 0, 0, value);
    }

    /// `to = value`, all 64 bits of it.
    pub(super) fn set_wide(&mut self, to: Register, value: u64) {
        self.wide(to, 0, value);
    }

    /// `to = map`.
    pub(super) fn set_map(&mut self, to: Register, map: BorrowedFd<'_>) {
        self.wide(to, MAP, u64::from(map.as_raw_fd().cast_unsigned()));
    }

    /// `to = from`.
    pub(super) fn copy(&mut self, to: Register, from: Register) {
        self.push(0xbf, to as u8, from as u8, 0, 0);
    }

    /// `to += value`.
    pub(super) fn add(&mut self, to: Register, value: i32) {
        self.push(0x07, to as u8, 0, 0, value);
    }

    /// `to &= value`; the value's sign is carried on.
    pub(super) fn and(&mut self, to: Register, value: i32) {
        self.push(0x57, to as u8, 0, 0, value);
    }

    /// `to |= value`.
    pub(super) fn or(&mut self, to: Register, value: i32) {
        self.push(0x47, to as u8, 0, 0, value);
    }

    /// `to |= from`.
    pub(super) fn or_register(&mut self, to: Register, from: Register) {
        self.push(0x4f, to as u8, from as u8, 0, 0);
    }

    /// `to = *(u32 *)(from + offset)`.
    pub(super) fn load(&mut self, to: Register, from: Register, offset: i16) {
        self.push(0x61, to as u8, from as u8, offset, 0);
    }

    /// `*(u32 *)(to + offset) = from`.
    pub(super) fn store(&mut self, to: Register, offset: i16, from: Register) {
        self.push(0x63, to as u8, from as u8, offset, 0);
    }

    /// `*(u32 *)(to + offset) = value`.
    pub(super) fn store_value(&mut self, to: Register, offset: i16, value: i32) {
        self.push(0x62, to as u8, 0, offset, value);
    }

    /// `*(u32 *)to += from`, in one step.
    pub(super) fn count(&mut self, to: Register, from: Register) {
        self.push(0xc3, to as u8, from as u8, 0, 0);
    }

    /// Jumps if the lower 32 bits of a register are so.
    pub(super) fn jump_if(&mut self, left: Register, is: Is, right: i32, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.push(0x06 | is as u8, left as u8, 0, 0, right);
    }

    /// Jumps if a whole register (a pointer, a result) is so; the value's sign is carried on.
    pub(super) fn jump_if_wide(&mut self, left: Register, is: Is, right: i32, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.push(0x05 | is as u8, left as u8, 0, 0, right);
    }

    /// Jumps if two whole registers differ.
    pub(super) fn jump_if_other(&mut self, left: Register, right: Register, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.push(0x5d, left as u8, right as u8, 0, 0);
    }

    /// Jumps.
    pub(super) fn jump(&mut self, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.push(0x05, 0, 0, 0, 0);
    }

    /// Calls a function of the kernel.
    pub(super) fn call(&mut self, helper: Helper) {
        self.push(0x85, 0, 0, 0, helper as i32);
    }

    /// Ends the program with what is in R0.
    pub(super) fn exit(&mut self) {
        self.push(0x95, 0, 0, 0, 0);
    }

    /// Gives the program, with its jumps resolved.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        for (at, label) in self.jumps {
            // A label that was not placed, or is too far, makes a jump that the verifier refuses.
            self.code[at].offset = i16::try_from(self.labels[label.0].wrapping_sub(at + 1)).unwrap_or(i16::MIN);
        }
        self.code
    }

    fn wide(&mut self, to: Register, source: u8, value: u64) {
        let half = |bits: u64| i32::from_ne_bytes(u32::to_ne_bytes((bits & u64::from(u32::MAX)) as u32));
        self.push(0x18, to as u8, source, 0, half(value));
        self.push(0, 0, 0, 0, half(value >> 32));
    }

    fn push(&mut self, code: u8, to: u8, from: u8, offset: i16, constant: i32) {
        self.code.push(Instruction { code, registers: from << 4 | to, offset, constant });
    }
}
