"""What every HTTP front of the suite shares: who may call, the application, and running it."""
