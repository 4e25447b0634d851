//! What holds over all forms: old ones read, and the published schemas say what the code does.

mod fixture;
mod schema;
mod validate;
