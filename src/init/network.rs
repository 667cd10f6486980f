//! The loopback, and the address that the kernel command line gives.

use std::fs;

use super::address::Address;
use super::cmdline::Cmdline;
use super::report::Report;
use crate::sys::link::{Link, Links};

/// The loopback's name in every kernel.
const LOOPBACK: &str = "lo";

/// Brings the loopback up, and sets what `ip=` says; doing it twice changes nothing.
pub(super) fn configure(cmdline: &Cmdline, report: Report) {
    let mut links = match Links::open() {
        Ok(links) => links,
        Err(error) => return report.failed("talk to the kernel about the network", &error),
    };
    match Link::named(LOOPBACK) {
        Ok(link) => _ = report.step("bring the loopback up", links.up(link)),
        Err(error) => report.failed("find the loopback", &error),
    }
    let Some(word) = cmdline.value("ip") else { return };
    match Address::parse(word) {
        Ok(Some(address)) => apply(&mut links, &address, report),
        Ok(None) => {}
        Err(error) => report.failed(&format!("use ip={word}"), &error),
    }
}

fn apply(links: &mut Links, address: &Address, report: Report) {
    let Some(client) = address.client else { return };
    let Some(device) = address.device.clone().or_else(first_device) else {
        return report.wrong("there is no network device for the address in ip=");
    };
    let link = match Link::named(&device) {
        Ok(link) => link,
        Err(error) => return report.failed(&format!("find the network device {device}"), &error),
    };
    report.step(&format!("bring {device} up"), links.up(link));
    report.step(&format!("give {device} the address {client}"), links.add_address(link, client, address.prefix()));
    if let Some(gateway) = address.gateway {
        report.step(&format!("route by {gateway}"), links.add_default_route(link, gateway));
    }
}

/// Names the first interface that is no loopback, in the order of the names.
fn first_device() -> Option<String> {
    let entries = fs::read_dir("/sys/class/net").ok()?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name != LOOPBACK).min()
}
