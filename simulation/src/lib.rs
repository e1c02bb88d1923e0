//! Who cheats, and what happens then
