//! The stream over real sockets: what a stranger may rely on (contract, §4).

#[cfg(test)]
mod bus;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod pace;
#[cfg(test)]
mod picture;
#[cfg(test)]
mod support;
