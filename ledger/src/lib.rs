//! Where claims are settled: the Ledger trait and its engines
