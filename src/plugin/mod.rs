//! The shell: what turns Envoy's callbacks into calls of the core, and carries out what the core says.
