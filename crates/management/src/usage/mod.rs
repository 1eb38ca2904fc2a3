//! The rules for usage reports: [`take`] accepts a report, [`room`] limits what a gateway can report.

pub mod room;
pub mod take;
