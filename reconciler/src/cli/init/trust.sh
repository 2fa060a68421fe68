printf '%s\n' "$DEVNET_CA" > "$RUNNER_TEMP/devnet-ca.pem"
echo "DEVNET_CA_FILE=$RUNNER_TEMP/devnet-ca.pem" >> "$GITHUB_ENV"
