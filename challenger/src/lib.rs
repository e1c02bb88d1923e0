//! Who checks: a pure solver and a thin shell
