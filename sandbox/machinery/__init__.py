"""What sandbox/machines.py is made of: real machines (systemd-nspawn) on one computer."""
