//! The shell as a stranger meets it, over real sockets.
