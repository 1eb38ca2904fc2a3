//! The rules of usage reports: [`take`] takes a report, [`room`] bounds what a gateway can have served.

pub mod room;
pub mod take;
