//! The real binaries, started, asked, killed and started again: what a stranger with a machine would see.

#[cfg(test)]
mod apart;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod start;
#[cfg(test)]
mod strangers;
#[cfg(test)]
mod support;
