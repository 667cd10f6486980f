//! Servers on loopback addresses of the guest, called from outside of it.

use icebox::guest::Guest;
use serde_json::json;

use crate::guests::{self, fetch};

fn served(guest: &mut Guest, port: u16, what: &str) {
    let web = guest.address(port);
    guests::wait(guest, what, || fetch(web, "/").is_some_and(|page| page.ends_with("hello\n")));
}

#[test]
fn loopback_servers_of_the_smallest_image_are_reached_before_and_after_a_pause() {
    let mut guest = Guest::start("scratch");
    let status = guest.block_on(guest.agent().status()).unwrap();
    assert_eq!(status["capabilities"]["loopback_ports"], json!(true), "{status}");
    guest.sh("mkdir -p /srv && echo hello > /srv/index.html");
    guest.spawn("exec httpd -f -h /srv -p 127.0.0.1:8080");
    guest.spawn("exec httpd -f -h /srv -p '[::1]:8081'");
    served(&mut guest, 8080, "localhost serves");
    served(&mut guest, 8081, "the other localhost serves, by way of the relay");

    let mut guest = guest.pause().resume();
    served(&mut guest, 8080, "localhost goes on");
    served(&mut guest, 8081, "so does the other one");
    guest.spawn("exec httpd -f -h /srv -p 127.0.0.1:8082");
    served(&mut guest, 8082, "a server that came after the pause serves");
}

#[test]
fn a_python_server_on_localhost_is_reached_and_one_on_all_addresses_as_ever() {
    let mut guest = Guest::start("debian");
    guest.sh("mkdir -p /srv/web && echo hello > /srv/web/index.html");
    guest.spawn("cd /srv/web && exec python3 -m http.server 8080 --bind 127.0.0.1");
    guest.spawn("cd /srv/web && exec python3 -m http.server 8081 --bind 0.0.0.0");
    served(&mut guest, 8080, "localhost serves");
    served(&mut guest, 8081, "the others serve");
    let mut guest = guest.pause().resume();
    served(&mut guest, 8080, "localhost goes on");
    served(&mut guest, 8081, "the others go on");
}
