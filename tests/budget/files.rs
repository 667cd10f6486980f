//! Memory while files come and go.

use crate::measure::bulk::{Form, download, upload};
use crate::{Figure, limits, within};

/// Much more than any buffer.
const BYTES: usize = 256 << 20;

#[track_caller]
fn flat(form: Form) {
    let agent = crate::agent();
    // What the first of a kind needs is no growth.
    upload(&agent, "file", form, 1 << 20);
    download(&agent, "file", form);
    within(&[
        Figure("upload", upload(&agent, "file", form, BYTES).growth, limits::TRANSFER_GROWTH, "bytes"),
        Figure("download", download(&agent, "file", form).growth, limits::TRANSFER_GROWTH, "bytes"),
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
