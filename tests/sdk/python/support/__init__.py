"""What every Python suite needs: a running daemon, one async face over four clients, and waiting with a deadline."""
