//! Who comes first where several could be meant.

use super::stage::{OWN, Wish, on_stage, serve, serve_as};

#[test]
fn a_server_on_the_outside_address_wins_whichever_came_first_and_as_long_as_it_lives() {
    on_stage(|stage| {
        let _ports = stage.open();
        for outside_first in [true, false] {
            let first = serve(if outside_first { "10.66.0.2:3000" } else { "127.0.0.1:3000" });
            let second = serve(if outside_first { "127.0.0.1:3000" } else { "10.66.0.2:3000" });
            let (outside, inside) = if outside_first { (first, second) } else { (second, first) };
            for _ in 0..3 {
                assert_eq!(stage.served_by("10.66.0.2:3000", &[&inside, &outside]), Some(1));
            }
            drop(outside);
            assert!(stage.reaches("10.66.0.2:3000", &inside), "outside first: {outside_first}");
        }
    });
}

#[test]
fn a_server_on_all_addresses_wins_over_one_on_v6_loopback() {
    on_stage(|stage| {
        let _ports = stage.open();
        let inside = serve("[::1]:3000");
        let all = serve("0.0.0.0:3000");
        assert_eq!(stage.served_by("10.66.0.2:3000", &[&inside, &all]), Some(1));
        assert_eq!(stage.served_by("[fd66::2]:3000", &[&inside, &all]), Some(0), "nobody else takes that family");
        drop(all);
        assert_eq!(stage.served_by("10.66.0.2:3000", &[&inside]), Some(0));
    });
}

#[test]
fn a_server_on_all_v6_addresses_alone_leaves_v4_to_localhost() {
    on_stage(|stage| {
        let _ports = stage.open();
        let all = serve_as("[::]:3000", Wish { only_v6: true, ..Wish::default() });
        let inside = serve("127.0.0.1:3000");
        assert_eq!(stage.served_by("10.66.0.2:3000", &[&inside, &all]), Some(0));
        assert_eq!(stage.served_by("[fd66::2]:3000", &[&inside, &all]), Some(1));
    });
}

#[test]
fn the_connections_of_an_outside_server_do_not_count_as_its_end() {
    on_stage(|stage| {
        let _ports = stage.open();
        let (outside, inside) = (serve("10.66.0.2:3000"), serve("127.0.0.1:3000"));
        for _ in 0..20 {
            assert_eq!(stage.served_by("10.66.0.2:3000", &[&inside, &outside]), Some(1));
        }
    });
}

#[test]
fn of_two_that_share_an_outside_address_the_last_one_counts() {
    on_stage(|stage| {
        let _ports = stage.open();
        let shared = Wish { shared: true, ..Wish::default() };
        let (one, two) = (serve_as("10.66.0.2:3000", shared), serve_as("10.66.0.2:3000", shared));
        let inside = serve("127.0.0.1:3000");
        drop(one);
        assert_eq!(stage.served_by("10.66.0.2:3000", &[&inside, &two]), Some(1));
        drop(two);
        assert!(stage.reaches("10.66.0.2:3000", &inside));
    });
}

#[test]
fn an_outside_server_that_is_older_than_the_programs_wins_too() {
    on_stage(|stage| {
        let (outside, all) = (serve("10.66.0.2:3000"), serve("0.0.0.0:3001"));
        let _ports = stage.open();
        let (inside, six) = (serve("127.0.0.1:3000"), serve("[::1]:3001"));
        assert_eq!(stage.served_by("10.66.0.2:3000", &[&inside, &outside]), Some(1));
        assert_eq!(stage.served_by("10.66.0.2:3001", &[&six, &all]), Some(1));
    });
}

#[test]
fn the_agents_port_is_handed_to_nobody() {
    on_stage(|stage| {
        let _ports = stage.open();
        let _thieves = [serve(&format!("127.0.0.1:{OWN}")), serve(&format!("[::1]:{OWN}"))];
        assert!(stage.refuses(&format!("10.66.0.2:{OWN}")) && stage.refuses(&format!("[fd66::2]:{OWN}")));
    });
}
