//! Tickets and what follows from them.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::clock::act_of_service;

#[test]
fn a_ticket_has_a_state_of_its_own_and_tells_nothing_by_it() {
    let (one, other) = (Ticket::new(&act_of_service()).unwrap(), Ticket::new(&act_of_service()).unwrap());
    let again = Ticket::parse(&one.cookie()).unwrap();
    assert!(one.has_state(&again.state()) && again.begun() == one.begun());
    assert_eq!((again.nonce(), again.verifier()), (one.nonce(), one.verifier()));
    assert_eq!(one.verifier().len(), 43);
    assert!(!one.has_state(&other.state()) && !one.has_state("") && !one.has_state(&one.nonce()));
    let later = Ticket { secret: one.secret.clone(), begun: one.begun.saturating_add(1) };
    assert!(!later.has_state(&one.state()), "a changed time is another sign-in");
    let derived = [one.state(), one.nonce(), one.verifier(), one.digest().0];
    for (number, text) in derived.iter().enumerate() {
        assert!(derived.iter().skip(number.saturating_add(1)).all(|other| other != text));
        assert!(!text.contains(one.secret.trim_start_matches(PREFIX)));
    }
}

#[test]
fn what_is_no_ticket_is_refused() {
    let cookie = Ticket::new(&act_of_service()).unwrap().cookie();
    let (secret, time) = cookie.split_once('.').unwrap();
    let upper = secret.to_uppercase();
    for text in [
        String::new(),
        ".".to_owned(),
        secret.to_owned(),
        format!("{secret}.-1"),
        format!("{secret}.+{time}"),
        format!("{secret}.0{time}"),
        format!("{secret}.{time}."),
        format!("{upper}.{time}"),
        format!("{secret}0.{time}"),
        format!("{}.{time}", secret.replace(PREFIX, "kgs_")),
    ] {
        assert!(Ticket::parse(&text).is_none(), "{text}");
    }
}
