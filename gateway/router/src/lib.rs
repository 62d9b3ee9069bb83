//! Request → route: the first rule of an ordered list whose conditions all hold.
//!
//! [`Matcher`] is the meaning: one compiled [`ir::RouteMatch`]. [`Router`] finds the first matching rule of a long list
//! without trying them all, [`Hosts`] the virtual host of an authority. Both ask the matcher, or compare the whole
//! name, before they answer, so an index can make a search slow but never wrong.
//!
//! Pure: no IO, no clock, no threads, no knowledge of any HTTP library ([`RequestView`] stands for it), and nothing is
//! allocated while a request is being matched.

mod condition;
mod failure;
mod field;
mod hosts;
mod index;
mod literal;
mod matcher;
mod re2;
mod regex;
mod route;
mod sequence;
mod text;
mod view;

pub use failure::Failure;
pub use field::Field;
pub use hosts::{Hosts, host_of};
pub use matcher::{CompileError, Matcher};
pub use re2::SyntaxError;
pub use regex::{FullRegex, RegexCache, RegexError, search_regex};
pub use route::Router;
pub use view::RequestView;
