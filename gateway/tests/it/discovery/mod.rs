mod binary;
mod hostile;
mod identity;
mod push;
mod resume;
mod rotation;
