//! The rules of the house, held against the sources, the manifests and the pages. Each test names every breach it finds.

#[cfg(test)]
mod engine;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod workspace;
