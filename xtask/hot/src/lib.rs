//! The loops over bytes that are worth compiling with optimisation: the dev profile gives it to this package alone, so it
//! stays small, knows no domain, and takes and returns plain bytes and numbers.

pub mod find;
pub mod similar;
pub mod text;
