//! What every part of xtask stands on: the folders as data ([`workspace`]), other programs and the kernel ([`tools`]),
//! processes that outlive a task ([`processes`]), and everything that prints ([`ui`]).

pub mod processes;
pub mod tools;
pub mod ui;
pub mod workspace;
