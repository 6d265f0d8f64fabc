//! Echo: keeps the agent from hearing itself.
