//! The edge and the table of routes over a real socket.

mod edge;
mod framing;
mod heads;
mod pages;
