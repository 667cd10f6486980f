//! Memory while files come and go.

use crate::measure::bulk::{Form, download, upload};
use crate::{Figure, limits, within};

/// More than any buffer.
const SMALL: usize = 16 << 20;
/// Much more.
const LARGE: usize = 256 << 20;

#[track_caller]
fn flat(form: Form) {
    let agent = crate::agent();
    let peaks = |bytes| [upload(&agent, "file", form, bytes).peak, download(&agent, "file", form).peak];
    let (small, large) = (peaks(SMALL), peaks(LARGE));
    println!("largest resident size: {small:?}, {large:?} bytes");
    let growth = |way: usize| large[way].saturating_sub(small[way]);
    within(&[
        Figure("upload", growth(0), limits::TRANSFER_GROWTH, "bytes"),
        Figure("download", growth(1), limits::TRANSFER_GROWTH, "bytes"),
    ]);
}

#[test]
fn a_large_file_comes_and_goes_in_flat_memory() {
    flat(Form::Raw);
}

#[test]
fn a_large_form_arrives_in_flat_memory() {
    flat(Form::Multipart);
}

#[test]
fn a_large_compressed_file_comes_and_goes_in_flat_memory() {
    flat(Form::Gzip);
}
