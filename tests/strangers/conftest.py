"""The distributions beside this are strangers': nothing of them is collected here."""

collect_ignore_glob = ["*/*"]
