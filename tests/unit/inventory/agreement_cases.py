"""Inventories as people have them: files by path; the first one named is the inventory, or its directory if it ends in `/`."""

CASES: dict[str, dict[str, str]] = {
    "ini: hosts without a group": {"hosts": "a.example\nb.example\n10.0.0.7\n"},
    "ini: groups, comments, blank lines": {
        "hosts": "# all of them\nmail.example\n\n[web]\nfoo.example # the first\nbar.example\n\n; databases\n[db]\none.example\ntwo.example\nbar.example\n"
    },
    "ini: ranges": {
        "hosts.ini": "[web]\nwww[01:12].example\n[db]\ndb-[a:f].example\n[odd]\nn[1:9:2]\n[racks]\nr[1:2]-h[01:03]\n[from_zero]\nz[:3]\n"
    },
    "ini: variables of hosts": {
        "hosts": "[web]\nh1 http_port=80 max=808 name=web-one ratio=0.5\nh2 http_port=303 flag=True other=true none=None\nh3 path=/srv/a:b zip=01234 hexa=0x1f big=1_000 neg=-5\n"
    },
    "ini: quoted values": {
        "hosts": 'h1 a=\'x y\' b="x y" c="it\'s" d=\'"7"\' e="\'7\'" f=\\"7\\" g=x\\ y h=\'\' i= j="{\'k\': [1, 2]}"\n'
    },
    "ini: a comment behind a value": {
        "hosts": "h1 a=1 # b=2\nh2 a=x#y\nh3 a='#1'\n[g]\nh1\n[g:vars]\nv=1 # one\nw=one # one\n"
    },
    "ini: literals of Python's": {
        "hosts": "[g]\nh\n[g:vars]\nl=[1, 'two', 3.0]\nd={'a': {'b': (1, 2)}}\ns=\"quoted\"\nt=plain text with spaces\nu=[not, python]\nb=False\nw=yes\ne=1e3\nv=1.2.3\nx='a' 'b'\nset={'only'}\n"
    },
    "ini: variables of groups, children and precedence": {
        "hosts": "[atlanta]\nh1\nh2\n[raleigh]\nh2\nh3\n[southeast:children]\natlanta\nraleigh\n[usa:children]\nsoutheast\nwest\n[west]\nh9\n"
        "[southeast:vars]\nproxy=se\nlevel=southeast\n[usa:vars]\nlevel=usa\nproxy=usa\nonly=usa\n[atlanta:vars]\nlevel=atlanta\nz=atlanta\n[raleigh:vars]\nz=raleigh\n[all:vars]\nlevel=all\neverywhere=1\n"
    },
    "ini: declared after they are used": {
        "hosts": "[top:children]\nmid\n[mid:vars]\nx=mid\n[mid:children]\nlow\n[low]\nh\n[top:vars]\nx=top\ny=top\n"
    },
    "ini: ports and aliases": {
        "hosts": "jumper ansible_port=5555 ansible_host=192.0.2.50\nbadwolf.example:5309\n[web]\nw[1:2].example:2222 ansible_user=mpdehaan\n[2001:db8::1]:22\n2001:db8::2\n"
    },
    "ini: the same group and host twice": {
        "hosts": "[g]\na x=1 y=1\n[h]\nb\na y=2\n[g]\nb x=3\n[g:vars]\nv=1\n[g:vars]\nv=2\nw=3\n"
    },
    "ini: group priorities": {
        "hosts": "[a]\nh\n[b]\nh\n[a:vars]\nansible_group_priority=10\nx=a\n[b:vars]\nx=b\ny=b\n"
    },
    "ini: groups of all and ungrouped": {
        "hosts": "lonely\n[all]\nx\n[ungrouped]\ny\n[ungrouped:vars]\nv=u\n[all:children]\ng\n[g]\nz\nlonely2\n[all:vars]\nv=all\nw=all\n"
    },
    "ini: a depth that is the longest way": {
        "hosts": "[low]\nh\n[mid:children]\nlow\n[top:children]\nmid\nlow\n[zz:children]\nyy\n[yy]\nh\n[mid:vars]\nx=mid\n[low:vars]\nx=low\n[yy:vars]\nx=yy\n[top:vars]\nx=top\n[zz:vars]\nx=zz\n"
    },
    "ini: templates are kept": {
        "hosts": '[web]\nh1 ansible_host="{{ inventory_hostname }}.example" url="http://{{ ansible_host }}/"\n[web:vars]\nbase={{ root | default(\'/srv\') }}/x\n'
    },
    "ini: connection variables": {
        "hosts": "[web]\nh1 ansible_host=10.0.0.1 ansible_port=2222 ansible_user=ops ansible_ssh_private_key_file=~/.ssh/k\nlocalhost ansible_connection=local\n[web:vars]\nansible_become=yes\nansible_become_user=root\nansible_python_interpreter=/usr/bin/python3\nansible_ssh_common_args='-o ProxyJump=bastion'\n"
    },
    "ini: carriage returns, tabs and indented lines": {
        "hosts": "[web]\r\n\th1\tx=1\ty=2\r\n  h2 x=2\r\n[web:vars]\r\n  v = 1\r\n"
    },
    "ini: names with other characters": {"hosts": "[web-eu.1]\nweb_1.example\nübung.example\n[web-eu.1:vars]\nx=1\n"},
    "yaml: the example of the manual": {
        "hosts.yml": "all:\n  hosts:\n    mail.example:\n  children:\n    webservers:\n      hosts:\n        foo.example:\n        bar.example:\n    dbservers:\n      hosts:\n        one.example:\n        two.example:\n        three.example:\n"
    },
    "yaml: children of children and variables": {
        "hosts.yaml": "---\nusa:\n  children:\n    southeast:\n      children:\n        atlanta:\n          hosts:\n            h1: {x: 1}\n            h2:\n              x: 2\n        raleigh:\n          hosts: {h2: , h3: }\n          vars: {level: raleigh}\n      vars:\n        level: southeast\n        list: [1, two, {three: 3}]\n    west:\n  vars:\n    level: usa\n    only: usa\n"
    },
    "yaml: ranges and ports": {
        "hosts.yml": "web:\n  hosts:\n    www[01:03].example:\n      a: 1\n    db-[a:c].example:2222:\n    'n[1:9:2]':\n"
    },
    "yaml: kinds of values": {
        "hosts.yml": "all:\n  hosts:\n    h:\n      i: 1\n      f: 1.5\n      t: yes\n      o: off\n      n:\n      tilde: ~\n      s: 'yes'\n      octal: 0644\n      hexa: 0x1f\n      quoted: \"0644\"\n      exp: 1e3\n      real: 1.0e+3\n      version: 2.10\n      multi: |\n        one\n        two\n      folded: >-\n        one\n        two\n      date: 2026-11-30\n      empty: ''\n      nested: {a: [1, {b: null}]}\n      under: 1_000\n"
    },
    "yaml: anchors and merges": {
        "hosts.yml": "web:\n  vars: &common\n    a: 1\n    b: {c: 2}\n  hosts:\n    h1: &h1\n      x: 1\n      y: 1\n    h2:\n      <<: *h1\n      y: 2\n    h3:\n      <<: [*h1, {z: 3, x: 9}]\n    h4: *h1\ndb:\n  vars:\n    <<: *common\n    a: 2\n  hosts:\n    d1:\n      v: *common\n"
    },
    "yaml: a group in two places": {
        "hosts.yml": "a:\n  children:\n    shared:\n      hosts:\n        h1:\n      vars: {x: first, y: first}\nb:\n  children:\n    shared:\n      hosts:\n        h2:\n      vars: {x: second}\n"
    },
    "yaml: names instead of mappings": {
        "hosts.yml": "web:\n  hosts: only.example\n  children: sub\nsub:\n  hosts:\n    s1:\n"
    },
    "yaml: the file has no ending": {"inventory": "# machines\nall:\n  hosts:\n    a:\n      x: 1\n"},
    "yaml: JSON": {
        "hosts.json": '{\n\t"web": {"hosts": {"h1": {"x": 1.5, "y": [true, null]}, "h2": null}, "vars": {"v": "\\u00e9"}}\n}\n'
    },
    "yaml: priorities and ungrouped": {
        "hosts.yml": "all:\n  hosts:\n    lonely:\n  vars: {x: all}\nungrouped:\n  hosts:\n    other:\na:\n  hosts: {h: }\n  vars: {ansible_group_priority: 5, x: a}\nb:\n  hosts: {h: }\n  vars: {x: b}\n"
    },
    "program: with _meta": {
        "inv.sh*": '#!/bin/sh\ncat <<END\n{"web": {"hosts": ["w1", "w2"], "vars": {"x": 1, "n": {"a": [1.5]}}, "children": ["sub"]},\n'
        ' "sub": {"hosts": ["s1"], "vars": {"x": 2}}, "flat": ["w1", "f1"],\n'
        ' "_meta": {"hostvars": {"w1": {"h": "w1", "ansible_host": "10.0.0.1"}, "stranger": {"a": 1}}}}\nEND\n'
    },
    "program: asked for each host": {
        "inv.sh*": '#!/bin/sh\ncase $1 in\n--list) echo \'{"web": {"hosts": ["w1", "w2"]}, "all": {"vars": {"v": 1}}}\';;\n--host) [ "$2" = w1 ] && echo "{\\"name\\": \\"$2\\"}" || echo "{}";;\nesac\n'
    },
    "directory: several sources in order": {
        "inv/": "",
        "inv/01-first.ini": "[web]\nw1 x=first y=first\n[web:vars]\nv=first\nw=first\n",
        "inv/02-second.yml": "web:\n  hosts:\n    w1:\n      x: second\n    w2:\n  vars:\n    v: second\nall:\n  children:\n    top:\n      children:\n        web:\n",
        "inv/03-third*": '#!/bin/sh\necho \'{"db": {"hosts": ["d1", "w2"]}, "_meta": {"hostvars": {"d1": {"from": "program"}}}}\'\n',
        "inv/sub/more": "[web]\nw3\n[sub]\nw1\n",
        "inv/notes.txt": "this is none\n",
        "inv/old.ini~": "[never]\nh\n",
        "inv/.hidden": "[never]\nh\n",
        "inv/backup.orig": "[never]\nh\n",
    },
    "group_vars and host_vars beside a file": {
        "hosts": "lonely\n[web]\nw1 own=inline\nw2\n[db]\nd1\n[site:children]\nweb\ndb\n[site:vars]\nv=site-inline\nw=site-inline\n[web:vars]\nv=web-inline\nu=web-inline\n[all:vars]\na=all-inline\nb=all-inline\n",
        "group_vars/all.yml": "a: all-file\nlist: [1, 2]\n",
        "group_vars/site": "v: site-file\n",
        "group_vars/web.yaml": "x: web-file\n",
        "group_vars/db.json": '{"x": "db-file"}',
        "group_vars/ungrouped.yml": "lonely: true\n",
        "group_vars/nobody.yml": "x: never\n",
        "host_vars/w1.yml": "own: file\nhost: x\n".replace("host: x", "extra: file"),
        "host_vars/d1": "---\nown: file\n",
        "host_vars/lonely.yml": "",
    },
    "group_vars: directories of files": {
        "hosts.yml": "web:\n  hosts:\n    w1:\n",
        "group_vars/web/10-first.yml": "a: 1\nb: 1\n",
        "group_vars/web/20-second.yml": "b: 2\nc: {d: 1}\n",
        "group_vars/web/deep/more.yaml": "e: 1\nc: {f: 2}\n",
        "group_vars/web/plain": "p: 1\n",
        "group_vars/web/notes.txt": "not: read\n",
        "group_vars/web/.hidden.yml": "not: read\n",
        "group_vars/web/old.yml~": "not: read\n",
        "group_vars/all/vars.yml": "b: all\nz: all\n",
        "host_vars/w1/x.yml": "a: host\n",
    },
    "group_vars: a parent's file wins over a child's declaration": {
        "hosts": "[child]\nh\n[parent:children]\nchild\n[child:vars]\nx=child-inline\ny=child-inline\n[parent:vars]\nz=parent-inline\n",
        "group_vars/parent.yml": "x: parent-file\n",
        "group_vars/child.yml": "z: child-file\n",
        "group_vars/all.yml": "y: all-file\nz: all-file\n",
    },
    "directory: with variables of its own": {
        "inv/": "",
        "inv/hosts": "[web]\nw1\nw2\n[web:vars]\nx=1\n",
        "inv/group_vars/web.yml": "x: file\n",
        "inv/group_vars/all/a.yml": "y: all\n",
        "inv/host_vars/w2.yml": "y: w2\n",
    },
}
