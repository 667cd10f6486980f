//! The kernel's log, line by line (Documentation/ABI/testing/dev-kmsg).

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

use nix::libc;

/// Longest record that a read can give (PRINTK_MESSAGE_MAX, kernel/printk/internal.h).
pub const LONGEST: usize = 2048;
/// Facilities from here on are those of programs that wrote to the log; the kernel's own is 0.
const PROGRAMS: u32 = 1 << 3;

/// Opens the log at its end; reads do not wait.
///
/// # Errors
/// EPERM without CAP_SYSLOG where the log is restricted, ENOENT without devtmpfs.
pub fn open_end() -> io::Result<File> {
    let mut log = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
    log.seek(SeekFrom::End(0))?;
    Ok(log)
}

/// Reads the next record into `buffer` and gives its text if the kernel itself wrote it, else an empty one; `None`
/// when there is no more. Records that were overwritten before they were read are left out.
///
/// # Errors
/// Those of read(2) but EPIPE, EINTR and EAGAIN.
pub fn next<'a>(log: &File, buffer: &'a mut [u8; LONGEST]) -> io::Result<Option<&'a [u8]>> {
    let length = loop {
        match rustix::io::read(log, &mut buffer[..]) {
            Ok(length) => break length,
            Err(rustix::io::Errno::AGAIN) => return Ok(None),
            // EINVAL: the record is longer than the buffer, and is skipped.
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::INTR | rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    };
    Ok(Some(text(&buffer[..length])))
}

/// Takes the text out of `PRIORITY,SEQUENCE,TIME,FLAGS;TEXT`, when the priority is the kernel's.
fn text(record: &[u8]) -> &[u8] {
    let head = record.split(|&byte| byte == b',').next().unwrap_or_default();
    let priority = std::str::from_utf8(head).ok().and_then(|head| head.parse::<u32>().ok());
    match (priority, record.iter().position(|&byte| byte == b';')) {
        (Some(priority), Some(at)) if priority < PROGRAMS => &record[at + 1..],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kernel_speaks_for_the_kernel() {
        assert_eq!(text(b"5,1234,99,-;random: crng reseeded\n KEY=value\n"), b"random: crng reseeded\n KEY=value\n");
        assert_eq!(text(b"13,1234,99,-;random: crng reseeded\n"), b"");
        for broken in [&b""[..], b";", b"5,1", b"x,1;y"] {
            assert_eq!(text(broken), b"");
        }
    }

    #[test]
    fn a_log_opened_at_its_end_has_no_past() {
        let log = open_end().unwrap();
        let mark = format!("a line of a test, by {}\n", std::process::id());
        std::fs::write("/dev/kmsg", &mark).unwrap();
        let mut buffer = [0; LONGEST];
        // Others may write as well; a program's record counts as empty, and the end comes.
        let mut seen = 0;
        while next(&log, &mut buffer).unwrap().is_some() {
            seen += 1;
            assert!(seen < 1000);
        }
        assert!(seen >= 1);
    }
}
