//! The loopback, and the address that the kernel command line gives.

use std::fs;

use super::address::Address;
use super::cmdline::Cmdline;
use super::report::Report;
use crate::sys::netlink::link::{self, Default, Held};
use crate::sys::netlink::{Family, Follow, Socket};

/// The loopback's name in every kernel.
const LOOPBACK: &str = "lo";

/// Brings the loopback up, and sets what `ip=` says; doing it twice changes nothing.
pub(super) fn configure(cmdline: &Cmdline, report: Report) {
    let mut socket = match Socket::open(Family::Route, Follow::Nothing) {
        Ok(socket) => socket,
        Err(error) => return report.failed("talk to the kernel about the network", &error),
    };
    match link::index(LOOPBACK) {
        Ok(index) => _ = report.step("bring the loopback up", link::up(&mut socket, index)),
        Err(error) => report.failed("find the loopback", &error),
    }
    let Some(word) = cmdline.value("ip") else { return };
    match Address::parse(word) {
        Ok(Some(address)) => apply(&mut socket, &address, report),
        Ok(None) => {}
        Err(error) => report.failed(&format!("use ip={word}"), &error),
    }
}

fn apply(socket: &mut Socket, address: &Address, report: Report) {
    let Some(client) = address.client else { return };
    let Some(device) = address.device.clone().or_else(first_device) else {
        return report.wrong("there is no network device for the address in ip=");
    };
    let index = match link::index(&device) {
        Ok(index) => index,
        Err(error) => return report.failed(&format!("find the network device {device}"), &error),
    };
    report.step(&format!("bring {device} up"), link::up(socket, index));
    let held = Held { index, ip: client.into(), prefix: address.prefix() };
    report.step(&format!("give {device} the address {client}"), link::add_address(socket, &held));
    if let Some(gateway) = address.gateway {
        let route = Default { index, gateway: Some(gateway.into()), is_v6: false, metric: 0 };
        report.step(&format!("route by {gateway}"), link::replace_default(socket, &route));
    }
}

/// Names the first interface that is no loopback, in the order of the names.
fn first_device() -> Option<String> {
    let entries = fs::read_dir("/sys/class/net").ok()?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name != LOOPBACK).min()
}
