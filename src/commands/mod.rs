//! The commands, a file each.

pub(crate) mod configuration;
pub(crate) mod demo;
pub(crate) mod dispute;
pub(crate) mod documents;
pub(crate) mod inspect;
pub(crate) mod preflight;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod services;
pub(crate) mod sim;
pub(crate) mod verify;
