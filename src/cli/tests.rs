//! The parts of the command line that need no process: texts, names, checks, exit codes.
