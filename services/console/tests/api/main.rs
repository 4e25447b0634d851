//! The console over HTTP, and its recorder: what people may ask, what they may say, and what is kept.

#[cfg(test)]
mod ask;
#[cfg(test)]
mod bus;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod record;
#[cfg(test)]
mod tell;
#[cfg(test)]
mod world;
