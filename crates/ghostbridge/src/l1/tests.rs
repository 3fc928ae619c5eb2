mod disk;
mod queue;
mod stories;
mod world;
