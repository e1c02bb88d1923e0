//! Ids of what a ledger keeps: a hash each, and a type each, so that the id of a claim is never taken for
//! that of its job.

use alloc::vec::Vec;
use core::fmt;

use crate::encoding::{Canonical, DecodeError, Reader};
use crate::hash::Digest;

macro_rules! id {
    ($(#[doc = $doc:literal])* $name:ident) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Digest);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, formatter)
            }
        }

        impl Canonical for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                self.0.encode(out);
            }
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self(Digest::decode(reader)?))
            }
        }
    };
}

id! {
    /// Id of a job.
    JobId
}
id! {
    /// Id of a claim.
    ClaimId
}
id! {
    /// Id of a challenge.
    ChallengeId
}
id! {
    /// Id of a sealed claim.
    SealedId
}
