mod handshake;
mod https_redirect;
mod secrets;
mod sni;
