//! Moving to another filesystem, where rename(2) cannot.
//!
//! The tree is copied, then the source is removed; a failure before that removes the copy and leaves the source as
//! it was. Kept are type, content with its holes, mode, owner, extended attributes (so ACLs too) and both times;
//! hard links become files of their own. No temporary name ever shows, in a listing or a watch: a file is written
//! without a name and gets its final one when it is complete. Directories fill under their final names, because
//! nothing nameless can hold a tree.
//!
//! - `tree` what is copied, and in which order
//! - `file` one file that is not a directory, and the attributes of all

mod file;
#[cfg(test)]
mod tests;
mod tree;

pub(super) use tree::not_empty;
pub use tree::tree;
