import { ADONIS } from './support/catalogue.ts';
import { testApplication } from './support/suite.ts';

testApplication(ADONIS);
