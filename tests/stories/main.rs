//! Stories told in events and checked by what comes out: scores with reasons, decisions, nothing else.

#[cfg(test)]
mod apart;
#[cfg(test)]
mod justice;
#[cfg(test)]
mod replayed;
#[cfg(test)]
mod spray;
#[cfg(test)]
mod tale;
#[cfg(test)]
mod worked_rows;
