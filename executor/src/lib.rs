//! Who claims: a pure core that defends, and a thin shell
