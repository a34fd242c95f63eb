// Boxes in columns from left to right, so that arrows are short and seldom cross.
//
// The classic steps (Sugiyama and others, 1981): long arrows get a bend in each column that they pass, the
// order in a column follows the middle of the neighbours, and then each box moves as near to them as its
// place in the order lets it. Columns are given: they are the levels of time.

const COLUMN_GAP = 56,
  BOX_GAP = 16,
  MOST_BENDS = 3000;

// Sets x and y of `boxes` ({ level, width, height }) and returns { width, height, routes }; a route is the
// list of points of the arrow in `arrows` ([from, to] as positions in `boxes`) at the same place.
function layOut(boxes, arrows) {
  const levels = [...new Set(boxes.map((box) => box.level))].sort((a, b) => a - b);
  const nodes = boxes.map((box) => ({
    box,
    column: levels.indexOf(box.level),
    height: box.height,
    width: box.width,
    left: [],
    right: [],
  }));
  const chains = makeChains(nodes, arrows);
  const columns = levels.map(() => []);
  for (const node of nodes) columns[node.column].push(node);
  sortColumns(columns);
  placeRows(columns);
  let x = 0;
  for (const column of columns) {
    const width = Math.max(...column.map((node) => node.width));
    for (const node of column) [node.x, node.wide] = [x, width];
    x += width + COLUMN_GAP;
  }
  const top = Math.min(...nodes.map((node) => node.y - node.height / 2));
  for (const { box, ...node } of nodes)
    if (box) [box.x, box.y] = [node.x + (node.wide - node.width) / 2, node.y - node.height / 2 - top];
  const height = Math.max(...nodes.map((node) => node.y + node.height / 2)) - top;
  const routes = chains.map((chain) =>
    chain.map((node) => ({ x: node.x, wide: node.wide, y: node.y - top })),
  );
  return { width: Math.max(0, x - COLUMN_GAP), height, routes };
}

// For each arrow the nodes that it goes through.
function makeChains(nodes, arrows) {
  let bends = 0;
  return arrows.map(([from, to]) => {
    const chain = [nodes[from]],
      end = nodes[to];
    if (end.column > chain[0].column && bends < MOST_BENDS) {
      for (let column = chain[0].column + 1; column < end.column; column++, bends++) {
        const bend = { box: null, column, height: 4, width: 0, left: [], right: [] };
        nodes.push(bend);
        chain.push(bend);
      }
      chain.push(end);
      for (let i = 1; i < chain.length; i++) {
        chain[i - 1].right.push(chain[i]);
        chain[i].left.push(chain[i - 1]);
      }
    } else chain.push(end);
    return chain;
  });
}

function sortColumns(columns) {
  const number = () =>
    columns.forEach((column) =>
      column.forEach((node, i) => {
        node.order = i / column.length;
      }),
    );
  const middle = (near, own) =>
    near.length ? near.reduce((sum, node) => sum + node.order, 0) / near.length : own;
  number();
  for (let sweep = 0; sweep < 8; sweep++) {
    const side = sweep % 2 ? "right" : "left";
    for (const column of sweep % 2 ? [...columns].reverse() : columns) {
      for (const node of column) node.wish = middle(node[side], node.order);
      column.sort((a, b) => a.wish - b.wish);
      column.forEach((node, i) => {
        node.order = i / column.length;
      });
    }
  }
}

function placeRows(columns) {
  for (const column of columns) {
    let y = 0;
    const all = column.reduce((sum, node) => sum + node.height + BOX_GAP, 0);
    for (const node of column) {
      node.y = y + node.height / 2 - all / 2;
      y += node.height + BOX_GAP;
    }
  }
  for (let sweep = 0; sweep < 12; sweep++) {
    for (const column of sweep % 2 ? [...columns].reverse() : columns) settle(column, sweep);
  }
}

// Each box of a column as near to its neighbours as it can be, in order and apart: least squares under
// constraints, which pools of boxes that touch each other solve in one pass.
function settle(column, sweep) {
  const pools = [];
  let offset = 0;
  column.forEach((node, i) => {
    offset += i
      ? (column[i - 1].height + node.height) / 2 + (node.box || column[i - 1].box ? BOX_GAP : 6)
      : 0;
    const near = sweep > 9 ? [...node.left, ...node.right] : sweep % 2 ? node.right : node.left;
    const wish = near.length ? near.reduce((sum, other) => sum + other.y, 0) / near.length : node.y;
    const weight = node.box ? 1 : 3; // long arrows rather straight
    node.offset = offset;
    let pool = { sum: (wish - offset) * weight, weight, nodes: [node] };
    while (pools.length && pools.at(-1).sum / pools.at(-1).weight > pool.sum / pool.weight) {
      const above = pools.pop();
      pool = {
        sum: above.sum + pool.sum,
        weight: above.weight + pool.weight,
        nodes: above.nodes.concat(pool.nodes),
      };
    }
    pools.push(pool);
  });
  for (const pool of pools) for (const node of pool.nodes) node.y = pool.sum / pool.weight + node.offset;
}
