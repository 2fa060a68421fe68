# devnet is not published anywhere yet. It is used where the runner's image has it; otherwise it is
# built, which takes minutes and Rust 1.95. The solver stays out: plans are made by the control plane.
if ! command -v devnet; then
  : "${DEVNET_SOURCE:?set the variable DEVNET_SOURCE to the git URL of devnet, or use an image that has devnet}"
  cargo install --locked --git "$DEVNET_SOURCE" --no-default-features devnet-reconciler
fi
