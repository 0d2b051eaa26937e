"""How hosts are reached: ssh, local, and a fake for tests. One contract, `opsflow.ports.Transport`."""
